# The same: accumulation follows from the number of devices
_base_ = ['genpercept_30k.py']
