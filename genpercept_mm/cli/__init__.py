"""The console command ``genpercept``."""
