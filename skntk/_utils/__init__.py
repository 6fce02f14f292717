"""What every room needs and no other room defines."""
