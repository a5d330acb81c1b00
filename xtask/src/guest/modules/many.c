// SPDX-License-Identifier: GPL-2.0
/*
 * A module with a reader-writer lock of its own that more functions take than lockprof has places for: three that read
 * and seventy that write, or with FEW ten, which one task calls in turn for as long as the module is there.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/spinlock.h>

static DEFINE_RWLOCK(many_lock);
static struct task_struct *task;
static unsigned long calls;
module_param(calls, ulong, 0444);
/* Each function has a count of its own, so that the compiler takes no two for one. */
static unsigned long counts[80];

#define READER(n) \
	static noinline __noclone void reader_##n(void) \
	{ \
		read_lock(&many_lock); \
		counts[70 + n]++; \
		read_unlock(&many_lock); \
	}
#define WRITER(n) \
	static noinline __noclone void writer_##n(void) \
	{ \
		write_lock_irq(&many_lock); \
		counts[1##n - 100]++; \
		write_unlock_irq(&many_lock); \
	}
#define CALL(n) writer_##n,
#define TEN(what, n) \
	what(n##0) what(n##1) what(n##2) what(n##3) what(n##4) what(n##5) what(n##6) what(n##7) what(n##8) what(n##9)
#ifdef FEW
#define ALL(what) TEN(what, 0)
#else
#define ALL(what) \
	TEN(what, 0) TEN(what, 1) TEN(what, 2) TEN(what, 3) TEN(what, 4) TEN(what, 5) TEN(what, 6)
#endif

READER(0) READER(1) READER(2)
ALL(WRITER)

static void (*const functions[])(void) = { reader_0, reader_1, reader_2, ALL(CALL) };

static int take_turns(void *unused)
{
	while (!kthread_should_stop()) {
		int n;

		for (n = 0; n < ARRAY_SIZE(functions); n++) {
			functions[n]();
			calls++;
		}
		usleep_range(2000, 3000);
	}
	return 0;
}

static int __init begin(void)
{
	task = kthread_run(take_turns, NULL, "many");
	return PTR_ERR_OR_ZERO(task);
}

static void __exit end(void)
{
	kthread_stop(task);
}

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("A lock with many callers, for lockprof's tests");
MODULE_LICENSE("GPL");
