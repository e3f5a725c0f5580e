_base_ = ['../_base_/baseline.py']
