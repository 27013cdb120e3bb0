"""Everything with a socket, a disk, a clock or a tensor library in it, one third party a room.

No adapter knows another.
"""
