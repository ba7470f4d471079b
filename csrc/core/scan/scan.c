#include "scan/scan.h"

#include "util/os.h"

/* With fewer units a second thread is not worth its start. */
enum { PARALLEL_MIN = 8 };

void scan_init(struct scan *scan, bool parallel)
{
    unsigned processors = os_processors();

    scan->workers = !parallel ? 1 : processors < PARALLEL_MAX ? processors : PARALLEL_MAX;
    scan->width = 1;
}

void scan_free(struct scan *scan)
{
    for (size_t i = 0; i < SCAN_UNITS; i++)
        results_free(&scan->units[i].results);
}

void scan_pass(struct scan *scan, uint64_t address)
{
    scan->finished = address >= scan->last;
    if (!scan->finished)
        scan->next = address + 1;
}

static void run_unit(void *context, size_t part, unsigned worker)
{
    struct scan *scan = context;
    struct scan_unit *unit = &scan->units[part];

    unit->done = unit->last;
    unit->results.count = 0;
    scan->failed[part] =
        scan->run(scan, unit, worker, &scan->errors[worker]) != 0 ? 1 + (int)worker : 0;
}

/* Units count up to one that failed or stopped early: from there on it is planned again. */
static int settle(struct scan *scan, struct qvm_error *err)
{
    for (scan->ready = 0; scan->ready < scan->planned; scan->ready++) {
        struct scan_unit *unit = &scan->units[scan->ready];

        if (scan->failed[scan->ready] || unit->done != unit->last) {
            scan->finished = false;
            scan->next = unit->first;
            scan->width = 1;
            if (scan->failed[scan->ready]) {
                if (scan->ready == 0)
                    *err = scan->errors[scan->failed[0] - 1];
                return scan->ready == 0 ? -1 : 0;
            }
            scan_pass(scan, unit->done);
            scan->ready++;
            return 0;
        }
    }
    return 0;
}

int scan_step(struct scan *scan, struct qvm_error *err)
{
    scan->ready = scan->planned = 0;
    while (scan->planned < scan->width && !scan->finished &&
           scan->plan(scan, &scan->units[scan->planned]))
        scan->planned++;
    if (scan->planned == 0)
        return scan->finished ? 0 : 1;
    if (scan->width < SCAN_UNITS)
        scan->width *= 2;
    parallel_for(scan->planned < PARALLEL_MIN ? 1 : scan->workers, scan->planned, run_unit,
                 scan);
    return settle(scan, err) == 0 ? 1 : -1;
}
