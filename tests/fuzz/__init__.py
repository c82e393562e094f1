"""A random search for wrong answers, crashes and hangs: ``make fuzz``.

`draw` makes a case from a seed, `layouts` and `guarded` lay its arrays out in memory, `contexts`
runs it through every public way in, `verdict` compares with float64 reference passes. `__main__`
does so in a process of its own until the time is up, and prints the seed of what it finds.
"""
