"""What to do next: pure functions of the file and the records; no Ray, no clock."""
