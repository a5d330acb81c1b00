// SPDX-License-Identifier: GPL-2.0
/*
 * A module with a function of the name of one of the kernel's own, which two tasks call for as long as the module is
 * there: again and again at once, and now and then with a mutex held in sleep, for which the other one waits.
 */
#define free_pid the_kernels_own_free_pid
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#undef free_pid

#ifndef FUNCTION
#define FUNCTION free_pid
#define LOCK clash_mutex
#endif

#define QUICK_CALLS 50
#define HELD_US 3000

static DEFINE_MUTEX(LOCK);
static struct task_struct *tasks[2];
static unsigned long calls;
module_param(calls, ulong, 0444);

/* A function by itself, by this name and no other, whatever the compiler thinks of its argument. */
static noinline __noclone void FUNCTION(unsigned int held_us)
{
	mutex_lock(&LOCK);
	calls++;
	if (held_us)
		usleep_range(held_us, held_us + 1000);
	mutex_unlock(&LOCK);
}

static int contend(void *unused)
{
	while (!kthread_should_stop()) {
		int n;

		for (n = 0; n < QUICK_CALLS; n++)
			FUNCTION(0);
		FUNCTION(HELD_US);
	}
	return 0;
}

static void stop(void)
{
	int n;

	for (n = 0; n < ARRAY_SIZE(tasks); n++)
		if (!IS_ERR_OR_NULL(tasks[n]))
			kthread_stop(tasks[n]);
}

static int __init begin(void)
{
	int n;

	for (n = 0; n < ARRAY_SIZE(tasks); n++) {
		tasks[n] = kthread_run(contend, NULL, "contender/%d", n);
		if (IS_ERR(tasks[n])) {
			stop();
			return PTR_ERR(tasks[n]);
		}
	}
	return 0;
}

module_init(begin);
module_exit(stop);
MODULE_DESCRIPTION("A function of the kernel's name, for lockprof's tests");
MODULE_LICENSE("GPL");
