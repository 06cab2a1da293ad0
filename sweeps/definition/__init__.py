"""What was asked for: the sweep file, its search space, and the function that it names."""
