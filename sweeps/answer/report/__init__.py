"""A sweep as one page: the answer and how sure it is, with what it rests on."""
