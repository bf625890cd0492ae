"""The vocabulary that all rooms share: values, states, messages, records and views. No behaviour beyond validation.

Knows nothing of the rest of Stoker. A value validates itself when it is made, so a malformed one cannot exist.
"""
