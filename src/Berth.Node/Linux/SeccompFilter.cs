using System.Runtime.InteropServices;
using Berth.Core.Errors;

namespace Berth.Node.Linux;

/// <summary>
/// <see cref="SeccompRules"/> compiled to the kernel's instructions, once per process. Sandboxes get the bytes; nothing
/// is compiled when one starts. Calls of any architecture but x86_64 end the process that makes them.
/// </summary>
/// <remarks>
/// Every sandbox's kernel checks, translates and tries the whole of it, so it is short: numbers of calls that are
/// decided alike follow one another, and a search among such ranges takes a quarter of what a search among the numbers
/// does, as libseccomp writes it (decision 0125).
/// </remarks>
public sealed class SeccompFilter
{
    private const uint AuditArchX64 = 0xC000_003E;
    private const uint X32Bit = 0x4000_0000;

    /// <summary>What a tracer that cancels a call leaves for its number.</summary>
    private const uint Canceled = 0xFFFF_FFFF;

    /// <summary>struct seccomp_data (linux/seccomp.h); of the arguments, the lower halves.</summary>
    private const uint OffsetOfNumber = 0;
    private const uint OffsetOfArchitecture = 4;
    private const uint OffsetOfFirst = 16;
    private const uint OffsetOfThird = 32;
    private const uint UpperHalf = 4;

    private SeccompFilter(byte[] instructions) => Instructions = instructions;

    private enum Verdict
    {
        Allow,
        Refuse,
        Unknown,
        Clone,
        Personality,
        Socket,
        Limit,
    }

    /// <summary>An array of struct sock_filter.</summary>
    public ReadOnlyMemory<byte> Instructions { get; }

    /// <summary>Throws BerthException (MissingTool) where libseccomp, which knows the calls' numbers, is not
    /// installed.</summary>
    public static SeccompFilter Compile()
    {
        if (RuntimeInformation.ProcessArchitecture != Architecture.X64)
        {
            throw new BerthException(
                ErrorCode.MissingTool,
                $"Sandboxes need an x86_64 machine; this one is {RuntimeInformation.ProcessArchitecture}.");
        }

        try
        {
            return new SeccompFilter(Compile(Decide()));
        }
        catch (DllNotFoundException error)
        {
            throw new BerthException(
                ErrorCode.MissingTool, "libseccomp.so.2 is missing. Install it: apt-get install libseccomp2", error);
        }
    }

    /// <summary>What becomes of each known number.</summary>
    private static Verdict[] Decide()
    {
        Verdict[] verdicts = new Verdict[SeccompRules.HighestKnownCall + 1];
        Array.Fill(verdicts, Verdict.Refuse);
        foreach (string call in SeccompRules.Allowed)
        {
            verdicts[NumberOf(call)] = Verdict.Allow;
        }

        // The flags of clone3 lie in memory, where no filter can look. ENOSYS makes libraries use clone.
        verdicts[NumberOf("clone3")] = Verdict.Unknown;
        verdicts[NumberOf("clone")] = Verdict.Clone;
        verdicts[NumberOf("personality")] = Verdict.Personality;
        verdicts[NumberOf("socket")] = Verdict.Socket;
        verdicts[NumberOf("prlimit64")] = Verdict.Limit;
        return verdicts;
    }

    private static int NumberOf(string call)
    {
        if (SeccompRules.NewCalls.TryGetValue(call, out int number))
        {
            return number;
        }

        number = LibSeccomp.Resolve(call);
        return number is >= 0 and <= SeccompRules.HighestKnownCall
            ? number
            : throw new InvalidOperationException($"libseccomp knows no call '{call}' on x86_64.");
    }

    private static byte[] Compile(Verdict[] verdicts)
    {
        FilterProgram program = new();
        FilterProgram.Label[] labels = [.. Enum.GetValues<Verdict>().Select(_ => new FilterProgram.Label())];
        FilterProgram.Label kill = new();
        program.Load(OffsetOfArchitecture);
        program.UnlessEqual(AuditArchX64, kill);
        program.Load(OffsetOfNumber);
        // Newer than the list: C libraries probe for new calls and fall back on ENOSYS only.
        FilterProgram.Label known = new();
        program.UnlessAtLeast(SeccompRules.HighestKnownCall + 1, known);
        program.UnlessAtLeast(X32Bit, labels[(int)Verdict.Unknown]);
        program.Equal(Canceled, labels[(int)Verdict.Unknown], kill);
        program.Mark(kill);
        program.Return(LibSeccomp.KillProcess);
        program.Mark(known);
        int[] starts = [.. Enumerable.Range(0, verdicts.Length).Where(n => n == 0 || verdicts[n] != verdicts[n - 1])];
        Search(program, [.. starts.Select(n => ((uint)n, labels[(int)verdicts[n]]))], new FilterProgram.Label());
        CheckArguments(program, labels);
        return program.ToBytes();
    }

    /// <summary>By halves, to the verdict of the range that the number is in.</summary>
    /// <param name="ranges">The first number of each, ascending, and where it leads.</param>
    private static void Search(
        FilterProgram program, ReadOnlySpan<(uint Start, FilterProgram.Label Label)> ranges, FilterProgram.Label here)
    {
        program.Mark(here);
        int middle = ranges.Length / 2;
        ReadOnlySpan<(uint Start, FilterProgram.Label Label)> lower = ranges[..middle];
        ReadOnlySpan<(uint Start, FilterProgram.Label Label)> upper = ranges[middle..];
        FilterProgram.Label below = lower.Length == 1 ? lower[0].Label : new FilterProgram.Label();
        FilterProgram.Label above = upper.Length == 1 ? upper[0].Label : new FilterProgram.Label();
        program.AtLeast(upper[0].Start, above, below);
        if (lower.Length > 1)
        {
            Search(program, lower, below);
        }

        if (upper.Length > 1)
        {
            Search(program, upper, above);
        }
    }

    private static void CheckArguments(FilterProgram program, FilterProgram.Label[] labels)
    {
        FilterProgram.Label allow = labels[(int)Verdict.Allow];
        FilterProgram.Label refuse = labels[(int)Verdict.Refuse];
        program.Mark(labels[(int)Verdict.Clone]);
        program.Load(OffsetOfFirst);
        program.AnyBit((uint)SeccompRules.NamespaceFlags, refuse, allow);

        program.Mark(labels[(int)Verdict.Personality]);
        program.Load(OffsetOfFirst + UpperHalf);
        program.UnlessEqual(0, refuse);
        program.Load(OffsetOfFirst);
        AllowOneOf(program, SeccompRules.AllowedPersonalities, allow, refuse);

        // The lower half of the register only: the kernel ignores the upper, so that a comparison of the whole could
        // be dodged with a bit up there.
        program.Mark(labels[(int)Verdict.Socket]);
        program.Load(OffsetOfFirst);
        AllowOneOf(program, SeccompRules.AllowedFamilies, allow, refuse);

        // Limits of other processes can only be asked for: root in the sandbox has the init's user id, and with
        // RLIMIT_CPU on it, or on any of its threads, it could have the kernel end the init, which would look like a
        // fault of the machine.
        program.Mark(labels[(int)Verdict.Limit]);
        FilterProgram.Label others = new();
        program.Load(OffsetOfFirst);
        program.Equal(0, allow, others);
        program.Mark(others);
        program.Load(OffsetOfThird);
        program.UnlessEqual(0, refuse);
        program.Load(OffsetOfThird + UpperHalf);
        program.Equal(0, allow, refuse);

        program.Mark(allow);
        program.Return(LibSeccomp.Allow);
        program.Mark(refuse);
        program.Return(LibSeccomp.Refuse(Errno.PermissionRefused));
        program.Mark(labels[(int)Verdict.Unknown]);
        program.Return(LibSeccomp.Refuse(Errno.NoSuchCall));
    }

    private static void AllowOneOf(
        FilterProgram program, IReadOnlyList<uint> values, FilterProgram.Label allow, FilterProgram.Label refuse)
    {
        for (int i = 0; i < values.Count; i++)
        {
            FilterProgram.Label next = i == values.Count - 1 ? refuse : new FilterProgram.Label();
            program.Equal(values[i], allow, next);
            if (next != refuse)
            {
                program.Mark(next);
            }
        }
    }
}
