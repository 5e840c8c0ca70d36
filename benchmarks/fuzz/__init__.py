"""Damaged files by the thousand: is each one refused with a reason, or read as what it is?"""
