"""Training of learned sparse encoders: data, objectives, regularisers, teachers, the loop.

Not useful for: encoding; nothing in `lexidex.encoders` imports this package.
"""
