"""Recorded frames sent to a live host, and its replies compared with the recorded ones.

cues       what to send, in the order of the trace, with the reply that was recorded
peer       what one network's frames mean here: who is waited for, which reply answers which question
causality  what must be answered before a frame may be sent
lane       one connection for each recorded link
replay     the pace, the lanes, the deadlines
"""
