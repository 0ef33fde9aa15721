"""Floor 3: bytes on disk. Batches, segments, cipher, leases; a record is opaque bytes here.

contract      what every journal promises, and the values it deals in
file_journal  the journal in a folder: acquire, append, seal, read, release
scan          reading and checking; torn tail or damage
segments      files of zeros, made before they are needed
batch         records to bytes and back, with CRC32C and SHA-256
header        the 96 bytes before every batch
cipher        AES-256-GCM; the only user of ``cryptography`` in the processor
epoch         the small file that fences older owners
disk          every system call, so that tests can break it

``docs/journal.md`` is the format page.
"""
