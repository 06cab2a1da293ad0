"""What noise can explain and what it cannot: pure functions of arrays, no files and no chance."""
