"""Run the paper's ablations and set their results beside the published."""
