using System.Runtime.InteropServices;

namespace Berth.Node.Linux;

/// <summary>libseccomp 2.5 as declared in seccomp.h.</summary>
internal static partial class LibSeccomp
{
    public const uint Allow = 0x7FFF_0000;
    public const uint KillProcess = 0x8000_0000;

    /// <summary>SCMP_FLTATR_ACT_BADARCH.</summary>
    public const int BadArchitecture = 2;

    /// <summary>SCMP_FLTATR_CTL_OPTIMIZE, and its value for a binary tree.</summary>
    public const int Optimize = 8;
    public const uint BinaryTree = 2;

    /// <summary>SCMP_CMP_EQ and SCMP_CMP_MASKED_EQ.</summary>
    public const int Equal = 4;
    public const int MaskedEqual = 7;

    /// <summary>SCMP_ACT_ERRNO.</summary>
    public static uint Refuse(int errno) => 0x0005_0000u | (uint)errno;

    /// <summary>struct scmp_arg_cmp. For a masked comparison the mask comes first.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public readonly struct Comparison(uint argument, int operation, ulong first, ulong second)
    {
        public readonly uint Argument = argument;
        public readonly int Operation = operation;
        public readonly ulong First = first;
        public readonly ulong Second = second;
    }

    [LibraryImport("libseccomp.so.2", EntryPoint = "seccomp_init")]
    public static partial nint Init(uint defaultAction);

    [LibraryImport("libseccomp.so.2", EntryPoint = "seccomp_release")]
    public static partial void Release(nint context);

    [LibraryImport("libseccomp.so.2", EntryPoint = "seccomp_attr_set")]
    public static partial int SetAttribute(nint context, int attribute, uint value);

    [LibraryImport("libseccomp.so.2", EntryPoint = "seccomp_syscall_resolve_name",
        StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Resolve(string name);

    [LibraryImport("libseccomp.so.2", EntryPoint = "seccomp_rule_add_array")]
    public static partial int AddRule(nint context, uint action, int call, uint count, Comparison[] comparisons);

    [LibraryImport("libseccomp.so.2", EntryPoint = "seccomp_export_bpf")]
    public static partial int ExportBpf(nint context, int descriptor);
}
