"""Run the paper's ablations and compare the results with the published."""
