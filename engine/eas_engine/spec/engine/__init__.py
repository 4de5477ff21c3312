"""The engine settings, ``eas-engine.toml``: what holds for every service of this machine.

``settings`` is what comes out, ``keys`` documents what goes in, ``load`` leads from one to the other.
"""
