"""A strict local emulator of Microsoft's sign-in and of the part of Microsoft Graph that keeps files: OneDrive.

It is a program of its own, ``python -m tests.onedrive_emulator``; ``tests.support.onedrive`` starts it and speaks to
it. It is written from Microsoft's documentation and from what users of other clients reported, not from what the
client of Holdfast sends, and where the sources disagree it does what is harder for a client.

====================  =====================================================================================
``server``            the five ports, and HTTP/1.1 on them
``dispatch``          how a request becomes an answer: logged, held against pauses and faults, handled by a service
``services``          what the services have in common
``http_messages``     requests, bodies and answers
``errors``            the errors that services answer with
``emulation``         everything that one emulated tenant remembers
``settings``          tenant, apps, drives, limits
``hosts``             Microsoft's host names, by cloud, and the addresses that are handed out
``clock``             a clock that a test can put forward
``sign_in``           port 1: OpenID configuration and tokens
``graph``             port 2: drives, items, folders, small uploads; ``graph_paths`` takes its addresses apart
``upload``            port 3: the fragments of upload sessions; ``sessions`` holds their rules
``download``          port 4: content behind short-lived addresses
``admin``             port 5: what tests ask for, plan and change; no part of Microsoft's services
``items``             drives, folders, files, the recycle bin, the quota; ``names`` says which names are refused
``content``           the bytes of files; ``quick_xor_hash`` their hash
``faults``            planned faults by route and n-th call
``journal``           requests that came, rules that were broken, and pauses that were asked for
====================  =====================================================================================
"""
