"""First run: what a camera sees of a face, how good that is for tracking, and what would be better (`tracker hello`)."""
