using Berth.Node.Linux;
using Xunit;

namespace Berth.Tests.Linux;

/// <summary>
/// The filter that every program of a sandbox runs under, asked call by call (numbers: asm/unistd_64.h).
/// </summary>
public sealed class SeccompFilterTests
{
    private const uint Clone = 56;
    private const uint Socket = 41;

    private static readonly FilterMachine Filter = new(SeccompFilter.Compile().Instructions);

    [Theory]
    [InlineData(0, "read")]
    [InlineData(1, "write")]
    [InlineData(59, "execve")]
    [InlineData(57, "fork")]
    [InlineData(202, "futex")]
    [InlineData(257, "openat")]
    [InlineData(317, "seccomp")]
    [InlineData(436, "close_range")]
    [InlineData(439, "faccessat2")]
    [InlineData(449, "futex_waitv")]
    [InlineData(452, "fchmodat2")]
    [InlineData(462, "mseal")]
    public void Everyday_calls_are_allowed(uint number, string name)
    {
        Assert.Equal(FilterMachine.Allow, Filter.Decide(number));
        Assert.Contains(name, SeccompRules.Allowed);
    }

    [Theory]
    [InlineData(155, "pivot_root")]
    [InlineData(161, "chroot")]
    [InlineData(165, "mount")]
    [InlineData(166, "umount2")]
    [InlineData(167, "swapon")]
    [InlineData(169, "reboot")]
    [InlineData(170, "sethostname")]
    [InlineData(172, "iopl")]
    [InlineData(175, "init_module")]
    [InlineData(179, "quotactl")]
    [InlineData(246, "kexec_load")]
    [InlineData(248, "add_key")]
    [InlineData(249, "request_key")]
    [InlineData(250, "keyctl")]
    [InlineData(272, "unshare")]
    [InlineData(298, "perf_event_open")]
    [InlineData(304, "open_by_handle_at")]
    [InlineData(308, "setns")]
    [InlineData(312, "kcmp")]
    [InlineData(313, "finit_module")]
    [InlineData(321, "bpf")]
    [InlineData(323, "userfaultfd")]
    [InlineData(425, "io_uring_setup")]
    [InlineData(426, "io_uring_enter")]
    [InlineData(427, "io_uring_register")]
    [InlineData(428, "open_tree")]
    [InlineData(429, "move_mount")]
    [InlineData(430, "fsopen")]
    [InlineData(431, "fsconfig")]
    [InlineData(432, "fsmount")]
    [InlineData(438, "pidfd_getfd")]
    [InlineData(442, "mount_setattr")]
    [InlineData(443, "quotactl_fd")]
    [InlineData(467, "open_tree_attr")]
    public void Calls_against_the_machine_are_refused(uint number, string name)
    {
        Assert.Equal(FilterMachine.Refuse(Errno.PermissionRefused), Filter.Decide(number));
        Assert.DoesNotContain(name, SeccompRules.Allowed);
    }

    [Theory]
    [InlineData(0x0002_0000)]
    [InlineData(0x0200_0000)]
    [InlineData(0x0400_0000)]
    [InlineData(0x0800_0000)]
    [InlineData(0x1000_0000)]
    [InlineData(0x2000_0000)]
    [InlineData(0x4000_0000)]
    public void Clone_makes_no_namespace(ulong flag)
    {
        const ulong Thread = 0x3D_0F00;
        const ulong Child = 17;

        Assert.Equal(FilterMachine.Allow, Filter.Decide(Clone, [Thread]));
        Assert.Equal(FilterMachine.Allow, Filter.Decide(Clone, [Child]));
        Assert.Equal(FilterMachine.Refuse(Errno.PermissionRefused), Filter.Decide(Clone, [Child | flag]));
        Assert.Equal(FilterMachine.Refuse(Errno.PermissionRefused), Filter.Decide(Clone, [(1UL << 40) | flag]));
    }

    [Theory]
    [InlineData(435)]
    [InlineData(SeccompRules.HighestKnownCall + 1)]
    [InlineData(1000)]
    [InlineData(0x3FFF_FFFF)]
    public void Clone3_and_calls_of_the_future_do_not_exist(uint number) =>
        Assert.Equal(FilterMachine.Refuse(Errno.NoSuchCall), Filter.Decide(number));

    [Theory]
    [InlineData(1, true)]
    [InlineData(2, true)]
    [InlineData(10, true)]
    [InlineData(16, true)]
    [InlineData(17, true)]
    [InlineData(0, false)]
    [InlineData(9, false)]
    [InlineData(15, false)]
    [InlineData(29, false)]
    [InlineData(38, false)]
    [InlineData(40, false)]
    [InlineData(44, false)]
    [InlineData(46, false)]
    public void Sockets_of_other_families_are_refused_whatever_the_upper_half_says(uint family, bool allowed)
    {
        uint expected = allowed ? FilterMachine.Allow : FilterMachine.Refuse(Errno.PermissionRefused);

        Assert.Equal(expected, Filter.Decide(Socket, [family]));
        Assert.Equal(expected, Filter.Decide(Socket, [(1UL << 32) | family]));
    }

    [Theory]
    [InlineData(0, 0x7FFF_0000_0010, true)]
    [InlineData(1UL << 32, 0x7FFF_0000_0010, true)]
    [InlineData(1, 0, true)]
    [InlineData(1, 0x7FFF_0000_0010, false)]
    [InlineData(1, 0x7FFF_0000_0000, false)]
    [InlineData(1, 0x10, false)]
    [InlineData(7, 0x7FFF_0000_0010, false)]
    [InlineData((1UL << 32) | 1, 0x7FFF_0000_0010, false)]
    public void Only_its_own_limits_can_be_changed(ulong process, ulong newLimit, bool allowed)
    {
        const uint ProcessLimit = 302;
        uint expected = allowed ? FilterMachine.Allow : FilterMachine.Refuse(Errno.PermissionRefused);

        Assert.Equal(expected, Filter.Decide(ProcessLimit, [process, 7, newLimit, 0]));
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(0xFFFF_FFFF, true)]
    [InlineData(0x0040_0000, false)]
    [InlineData(0x0040_000, false)]
    public void Personalities_are_few(ulong personality, bool allowed)
    {
        uint expected = allowed ? FilterMachine.Allow : FilterMachine.Refuse(Errno.PermissionRefused);

        Assert.Equal(expected, Filter.Decide(135, [personality]));
    }

    [Fact]
    public void Calls_of_other_architectures_end_the_process()
    {
        const uint X32 = 0x4000_0000;

        Assert.Equal(FilterMachine.Kill, Filter.Decide(0, architecture: FilterMachine.I386));
        Assert.Equal(FilterMachine.Kill, Filter.Decide(1000, architecture: FilterMachine.I386));
        Assert.Equal(FilterMachine.Kill, Filter.Decide(X32));
        Assert.Equal(FilterMachine.Kill, Filter.Decide(X32 | 165));
        Assert.Equal(FilterMachine.Kill, Filter.Decide(0xFFFF_FFFE));
        Assert.Equal(FilterMachine.Refuse(Errno.NoSuchCall), Filter.Decide(0xFFFF_FFFF));
    }

    /// <summary>The kernel reads all of it for each sandbox.</summary>
    [Fact]
    public void It_is_short() => Assert.InRange(SeccompFilter.Compile().Instructions.Length / 8, 1, 128);

    [Fact]
    public void The_calls_that_are_allowed_are_those_of_the_list()
    {
        uint[] byArguments = [Clone, Socket, 135, 302];

        int allowed = Enumerable.Range(0, SeccompRules.HighestKnownCall + 1)
            .Count(n => !byArguments.Contains((uint)n) && Filter.Decide((uint)n) == FilterMachine.Allow);

        // Of those in the list, limits alone are decided by their arguments.
        Assert.Equal(SeccompRules.Allowed.Count - 1, allowed);
    }

    [Fact]
    public void Every_number_has_a_decision()
    {
        uint[] known = [FilterMachine.Allow, FilterMachine.Kill, FilterMachine.Refuse(1), FilterMachine.Refuse(38)];

        Assert.All(Enumerable.Range(0, 1024), n => Assert.Contains(Filter.Decide((uint)n), known));
        Assert.Equal(SeccompRules.Allowed.Count, SeccompRules.Allowed.Distinct(StringComparer.Ordinal).Count());
    }
}
