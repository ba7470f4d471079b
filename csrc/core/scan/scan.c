#include "scan/scan.h"

#include "util/os.h"

/* With fewer units a second thread is not worth its start. */
enum { PARALLEL_MIN = 8 };

void sweep_start(struct sweep *sweep, bool parallel)
{
    unsigned processors = os_processors();

    sweep->workers = !parallel ? 1 : processors < TEAM_MAX ? processors : TEAM_MAX;
    sweep->width = 1;
}

void sweep_free(struct sweep *sweep)
{
    for (size_t i = 0; i < SWEEP_UNITS; i++)
        results_free(&sweep->units[i].results);
}

void sweep_pass(struct sweep *sweep, uint64_t address)
{
    sweep->finished = address >= sweep->last;
    if (!sweep->finished)
        sweep->next = address + 1;
}

static void run_unit(void *context, size_t part, unsigned worker)
{
    struct sweep *sweep = context;
    struct sweep_unit *unit = &sweep->units[part];

    unit->done = unit->last;
    unit->results.count = 0;
    sweep->failed[part] =
        sweep->run(sweep, unit, worker, &sweep->errors[worker]) != 0 ? 1 + (int)worker : 0;
}

/* Units count up to one that failed or stopped early: from there on it is planned again. */
static int settle(struct sweep *sweep, struct qvm_error *err)
{
    for (sweep->ready = 0; sweep->ready < sweep->planned; sweep->ready++) {
        struct sweep_unit *unit = &sweep->units[sweep->ready];

        if (sweep->failed[sweep->ready] || unit->done != unit->last) {
            sweep->finished = false;
            sweep->next = unit->first;
            sweep->width = 1;
            if (sweep->failed[sweep->ready]) {
                if (sweep->ready == 0)
                    *err = sweep->errors[sweep->failed[0] - 1];
                return sweep->ready == 0 ? -1 : 0;
            }
            sweep_pass(sweep, unit->done);
            sweep->ready++;
            return 0;
        }
    }
    return 0;
}

int sweep_step(struct sweep *sweep, struct qvm_error *err)
{
    sweep->ready = sweep->planned = 0;
    while (sweep->planned < sweep->width && !sweep->finished &&
           sweep->plan(sweep, &sweep->units[sweep->planned]))
        sweep->planned++;
    if (sweep->planned == 0)
        return sweep->finished ? 0 : 1;
    if (sweep->width < SWEEP_UNITS)
        sweep->width *= 2;
    team_run(sweep->planned < PARALLEL_MIN ? 1 : sweep->workers, sweep->planned, run_unit,
             sweep);
    return settle(sweep, err) == 0 ? 1 : -1;
}
