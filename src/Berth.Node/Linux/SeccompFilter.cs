using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Berth.Core.Errors;

namespace Berth.Node.Linux;

/// <summary>
/// <see cref="SeccompRules"/> compiled to the kernel's instructions, once per process. Sandboxes get the bytes; nothing
/// is compiled when one starts. Calls of any architecture but x86_64 end the process that makes them.
/// </summary>
public sealed class SeccompFilter
{
    private const uint AuditArchX64 = 0xC000_003E;
    private const uint X32Bit = 0x4000_0000;

    private SeccompFilter(byte[] instructions) => Instructions = instructions;

    /// <summary>An array of struct sock_filter.</summary>
    public ReadOnlyMemory<byte> Instructions { get; }

    /// <summary>Throws BerthException (MissingTool) where libseccomp is not installed.</summary>
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
            return new SeccompFilter([.. Prologue(), .. CompileRules()]);
        }
        catch (DllNotFoundException error)
        {
            throw new BerthException(
                ErrorCode.MissingTool, "libseccomp.so.2 is missing. Install it: apt-get install libseccomp2", error);
        }
    }

    /// <summary>
    /// What libseccomp can't express, before what it wrote; jumps are relative. Calls newer than the list, a range of
    /// numbers, answer ENOSYS. Limits of other processes can only be asked for, a disjunction of arguments: root in the
    /// sandbox has the init's user id, and with RLIMIT_CPU on it, or on any of its threads, it could have the kernel
    /// end the init, which would look like a fault of the machine.
    /// </summary>
    private static byte[] Prologue()
    {
        const ushort LoadWord = 0x20;
        const ushort JumpEqual = 0x15;
        const ushort JumpGreater = 0x25;
        const ushort JumpGreaterEqual = 0x35;
        const ushort Return = 0x06;
        const uint ReturnErrno = 0x0005_0000;
        const uint OffsetOfNumber = 0;
        const uint OffsetOfArchitecture = 4;
        const uint OffsetOfProcess = 16;
        const uint OffsetOfNewLimit = 32;
        const uint ProcessLimit = 302;
        return
        [
            .. Instruction(LoadWord, 0, 0, OffsetOfArchitecture),
            .. Instruction(JumpEqual, 0, 12, AuditArchX64),
            .. Instruction(LoadWord, 0, 0, OffsetOfNumber),
            .. Instruction(JumpEqual, 0, 7, ProcessLimit),
            .. Instruction(LoadWord, 0, 0, OffsetOfProcess),
            .. Instruction(JumpEqual, 8, 0, 0),
            .. Instruction(LoadWord, 0, 0, OffsetOfNewLimit),
            .. Instruction(JumpEqual, 0, 2, 0),
            .. Instruction(LoadWord, 0, 0, OffsetOfNewLimit + 4),
            .. Instruction(JumpEqual, 4, 0, 0),
            .. Instruction(Return, 0, 0, ReturnErrno | Errno.PermissionRefused),
            .. Instruction(JumpGreater, 0, 2, SeccompRules.HighestKnownCall),
            .. Instruction(JumpGreaterEqual, 1, 0, X32Bit),
            .. Instruction(Return, 0, 0, ReturnErrno | Errno.NoSuchCall),
        ];
    }

    /// <summary>struct sock_filter (linux/filter.h).</summary>
    private static byte[] Instruction(ushort code, byte ifTrue, byte ifFalse, uint operand)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, code);
        bytes[2] = ifTrue;
        bytes[3] = ifFalse;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), operand);
        return bytes;
    }

    private static byte[] CompileRules()
    {
        nint context = LibSeccomp.Init(LibSeccomp.Refuse(Errno.PermissionRefused));
        if (context == 0)
        {
            throw new LinuxException("seccomp_init", null, Errno.OutOfMemory);
        }

        try
        {
            Check(LibSeccomp.SetAttribute(context, LibSeccomp.BadArchitecture, LibSeccomp.KillProcess), "arch");
            Check(LibSeccomp.SetAttribute(context, LibSeccomp.Optimize, LibSeccomp.BinaryTree), "optimize");
            foreach (string call in SeccompRules.Allowed)
            {
                Allow(context, call);
            }

            AllowByArguments(context);
            return Export(context);
        }
        finally
        {
            LibSeccomp.Release(context);
        }
    }

    private static void AllowByArguments(nint context)
    {
        Allow(context, "clone", new LibSeccomp.Comparison(0, LibSeccomp.MaskedEqual, SeccompRules.NamespaceFlags, 0));

        // The flags of clone3 lie in memory, where no filter can look. ENOSYS makes libraries use clone.
        Check(
            LibSeccomp.AddRule(context, LibSeccomp.Refuse(Errno.NoSuchCall), NumberOf("clone3"), 0, []), "clone3");
        foreach (ulong personality in SeccompRules.AllowedPersonalities)
        {
            Allow(context, "personality", new LibSeccomp.Comparison(0, LibSeccomp.Equal, personality, 0));
        }

        // One rule a family, each on the lower half of the register only: the kernel ignores the upper, so that a
        // comparison of the whole could be dodged with a bit up there.
        foreach (uint family in SeccompRules.AllowedFamilies)
        {
            Allow(context, "socket", new LibSeccomp.Comparison(0, LibSeccomp.MaskedEqual, uint.MaxValue, family));
        }
    }

    private static void Allow(nint context, string call, params LibSeccomp.Comparison[] comparisons) =>
        Check(
            LibSeccomp.AddRule(
                context, LibSeccomp.Allow, NumberOf(call), (uint)comparisons.Length, comparisons),
            call);

    private static int NumberOf(string call)
    {
        if (SeccompRules.NewCalls.TryGetValue(call, out int number))
        {
            return number;
        }

        number = LibSeccomp.Resolve(call);
        return number >= 0
            ? number
            : throw new InvalidOperationException($"libseccomp knows no call '{call}' on x86_64.");
    }

    private static byte[] Export(nint context)
    {
        // A filter has at most 32 KiB, half of what an empty pipe takes without a reader.
        using Pipe pipe = Pipe.Create();
        Check(LibSeccomp.ExportBpf(context, pipe.WriteEnd.Number), "export");
        pipe.WriteEnd.Dispose();
        using FileStream stream = new(new Microsoft.Win32.SafeHandles.SafeFileHandle(
            pipe.ReadEnd.Number, ownsHandle: false), FileAccess.Read, 0);
        using MemoryStream bytes = new();
        stream.CopyTo(bytes);
        return bytes.ToArray();
    }

    /// <summary>libseccomp returns negative error numbers.</summary>
    private static void Check(int result, string subject)
    {
        if (result < 0)
        {
            throw new LinuxException("libseccomp", subject, -result);
        }
    }
}
