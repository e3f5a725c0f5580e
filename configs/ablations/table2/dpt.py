_base_ = ['../_base_/dpt.py']
