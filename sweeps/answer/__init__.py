"""What came out: results, the report, TensorBoard, and a recorded trial run again."""
