"""The console command ``genpercept``, and what the tools' commands share."""
