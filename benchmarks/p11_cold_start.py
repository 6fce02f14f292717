"""P11: cold start: import, fit and predict on 8 x 8 digits, in fresh interpreters.

Rival: scikit-learn's SVC on the same data.
Target: an import under 2 s; the ratio is reported without a target.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from _measure import MB, Case, Row, ratio, run

FOLDER = Path(__file__).parent
ROW = Row("P11", "import, fit, predict on digits", "scikit-learn's SVC", "import under 2 s")

# Until the timing ends, this imports only what a user would.
PROGRAM = """
import json, time
start = time.perf_counter()
{imports}
imported = time.perf_counter()
from sklearn.datasets import load_digits
X, y = load_digits(return_X_y=True)
X, n = X / 16, 1200
ready = time.perf_counter()
clf = {classifier}.fit(X[:n], y[:n])
fitted = time.perf_counter()
answers = clf.predict(X[n:])
end = time.perf_counter()
from _measure import peak_memory
print(json.dumps(dict(
    import_=imported - start, fit=fitted - ready, predict=end - fitted,
    accuracy=float((answers == y[n:]).mean()), peak=peak_memory(),
)))
"""
OURS = PROGRAM.format(imports="from skntk import NTKClassifier", classifier="NTKClassifier()")
SVC = PROGRAM.format(imports="from sklearn.svm import SVC", classifier="SVC()")


def launch(program):
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=FOLDER, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout) | {"whole": time.perf_counter() - start}


def cases(options):
    launch(OURS), launch(SVC)  # so that the files are in the system's cache
    runs = [(launch(OURS), launch(SVC)) for _ in range(options.repeats)]
    names = runs[0][0].keys()
    ours, rival = ({name: median(run[k][name] for run in runs) for name in names} for k in (0, 1))
    yield Case(
        "whole process",
        ratio(ours["whole"], rival["whole"]),
        ours["whole"],
        rival["whole"],
        f"accuracy {ours['accuracy']:.3f}, rival {rival['accuracy']:.3f}",
        peak=int(ours["peak"]),
        notes=[
            f"peak memory of the rival {rival['peak'] / MB:.0f} MB",
            *(
                f"{name}: skntk {ours[key]:.3g} s, rival {rival[key]:.3g} s"
                for name, key in (("import", "import_"), ("fit", "fit"), ("predict", "predict"))
            ),
        ],
    )


def main(argv=None):
    run(ROW, cases, __doc__, argv)


if __name__ == "__main__":
    main()
