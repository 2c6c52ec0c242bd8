"""One file for each peer, run inside the peer's own environment: how it is set up, fed, counted and worked off.

Every file has the same verbs:

    WORKERS                     the commands of its workers, 2 processes x 8 threads or the nearest it has
    prepare()                   make its tables
    clear()                     forget all jobs
    submit()                    one no-op job
    submit_many(count)          the same by one call; None where it has no such call
    submit_note(number, pause)  a job that takes `pause` seconds and writes down that it ran
    done()                      how many no-op jobs are done
"""
