// SPDX-License-Identifier: GPL-2.0
/*
 * A module with a reader-writer lock that spins and that it takes in every way there is: each way has a function of its own,
 * which takes the lock as often as is written to the parameter "turns".
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/spinlock.h>

static DEFINE_RWLOCK(ways_lock);
static unsigned long calls;
module_param(calls, ulong, 0444);
/* Each function has a count of its own, so that the compiler takes no two for one. */
static unsigned long counts[64];

#define IS_TAKEN(number, take, release) \
	{ \
		take; \
		counts[number]++; \
		release; \
		barrier(); \
	}

/* The lock that spins. */
static noinline __noclone void write_plain(void)
IS_TAKEN(0, write_lock(&ways_lock), write_unlock(&ways_lock))
static noinline __noclone void write_bh(void)
IS_TAKEN(1, write_lock_bh(&ways_lock), write_unlock_bh(&ways_lock))
static noinline __noclone void write_irq(void)
IS_TAKEN(2, write_lock_irq(&ways_lock), write_unlock_irq(&ways_lock))
static noinline __noclone void write_irqsave(void)
IS_TAKEN(3, unsigned long flags; write_lock_irqsave(&ways_lock, flags), write_unlock_irqrestore(&ways_lock, flags))
static noinline __noclone void write_tried(void)
IS_TAKEN(4, while (!write_trylock(&ways_lock)) cpu_relax(), write_unlock(&ways_lock))
static noinline __noclone void read_plain(void)
IS_TAKEN(5, read_lock(&ways_lock), read_unlock(&ways_lock))
static noinline __noclone void read_bh(void)
IS_TAKEN(6, read_lock_bh(&ways_lock), read_unlock_bh(&ways_lock))
static noinline __noclone void read_irq(void)
IS_TAKEN(7, read_lock_irq(&ways_lock), read_unlock_irq(&ways_lock))
static noinline __noclone void read_irqsave(void)
IS_TAKEN(8, unsigned long flags; read_lock_irqsave(&ways_lock, flags), read_unlock_irqrestore(&ways_lock, flags))
static noinline __noclone void read_tried(void)
IS_TAKEN(9, while (!read_trylock(&ways_lock)) cpu_relax(), read_unlock(&ways_lock))

/* Who has it for itself alone cannot have it twice: none of these tries is a hold. */
static noinline __noclone void write_tried_in_vain(void)
{
	write_lock(&ways_lock);
	if (write_trylock(&ways_lock) || read_trylock(&ways_lock))
		pr_err("ways: two have the lock\n");
	counts[10]++;
	write_unlock(&ways_lock);
}

/* One hold. */
static noinline __noclone void read_twice(void)
{
	read_lock(&ways_lock);
	read_lock(&ways_lock);
	counts[11]++;
	read_unlock(&ways_lock);
	read_unlock(&ways_lock);
	barrier();
}

static noinline __noclone void write_in_softirq(void)
IS_TAKEN(12, write_lock(&ways_lock), write_unlock(&ways_lock))
static noinline __noclone void read_in_softirq(void)
IS_TAKEN(13, read_lock(&ways_lock), read_unlock(&ways_lock))
static noinline __noclone void write_in_hardirq(void)
IS_TAKEN(14, write_lock(&ways_lock), write_unlock(&ways_lock))
static noinline __noclone void read_in_hardirq(void)
IS_TAKEN(15, read_lock(&ways_lock), read_unlock(&ways_lock))

static bool is_done;
static bool only_reads;

static void softirq_comes(struct tasklet_struct *unused)
{
	write_in_softirq();
	read_in_softirq();
	smp_store_release(&is_done, true);
}
static DECLARE_TASKLET(softirq, softirq_comes);

static void hardirq_comes(struct irq_work *unused)
{
	if (!only_reads)
		write_in_hardirq();
	read_in_hardirq();
	smp_store_release(&is_done, true);
}
static struct irq_work hardirq;

static void wait_for_it(void)
{
	while (!smp_load_acquire(&is_done))
		cpu_relax();
	is_done = false;
}

static void interrupt_here(bool reads)
{
	only_reads = reads;
	irq_work_queue(&hardirq);
	wait_for_it();
}

/* An interrupt reads inside of its hold. */
static noinline __noclone void read_around_hardirq(void)
{
	read_lock(&ways_lock);
	counts[16]++;
	interrupt_here(true);
	read_unlock(&ways_lock);
	barrier();
}

static void (*const ways_of_lock[])(void) = {
	write_plain, write_bh, write_irq, write_irqsave, write_tried, read_plain, read_bh, read_irq,
	read_irqsave, read_tried, write_tried_in_vain, read_twice, read_around_hardirq,
};

/* Two tasks that wait for each other. */
static unsigned long contended_turns;
static struct completion ended;

static noinline __noclone void write_contended(void)
IS_TAKEN(17, write_lock_bh(&ways_lock), udelay(5); write_unlock_bh(&ways_lock))
static noinline __noclone void read_contended(void)
IS_TAKEN(18, read_lock_bh(&ways_lock), udelay(5); read_unlock_bh(&ways_lock))

static int contend(void *unused)
{
	unsigned long turn;

	for (turn = 0; turn < contended_turns; turn++) {
		write_contended();
		read_contended();
		cond_resched();
	}
	complete(&ended);
	return 0;
}

static int contend_with_each_other(unsigned long turns)
{
	int n;

	contended_turns = turns;
	init_completion(&ended);
	for (n = 0; n < 2; n++) {
		struct task_struct *task = kthread_run(contend, NULL, "contender/%d", n);

		if (IS_ERR(task))
			return PTR_ERR(task);
	}
	for (n = 0; n < 2; n++)
		wait_for_completion(&ended);
	return 0;
}

static int take_lock(const char *text, const struct kernel_param *unused)
{
	unsigned long turns, turn;
	int n, error = kstrtoul(text, 10, &turns);

	if (error)
		return error;
	for (turn = 0; turn < turns; turn++) {
		for (n = 0; n < ARRAY_SIZE(ways_of_lock); n++)
			ways_of_lock[n]();
		tasklet_schedule(&softirq);
		wait_for_it();
		interrupt_here(false);
		cond_resched();
	}
	return contend_with_each_other(turns);
}

static const struct kernel_param_ops turns_ops = { .set = take_lock };
module_param_cb(turns, &turns_ops, NULL, 0200);

static int __init begin(void)
{
	init_irq_work(&hardirq, hardirq_comes);
	return 0;
}

static void __exit end(void)
{
	tasklet_kill(&softirq);
	irq_work_sync(&hardirq);
}

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("A lock that is taken in every way, for lockprof's tests");
MODULE_LICENSE("GPL");
