"""Hooks around a snapshot, under the name that AWS gives them (Lambda guide, "Lambda SnapStart runtime
hooks for Python"): before ones run last registered first, after ones in order."""

before = []
after = []


def register_before_snapshot(function, *arguments, **named):
    before.append((function, arguments, named))
    return function


def register_after_restore(function, *arguments, **named):
    after.append((function, arguments, named))
    return function
