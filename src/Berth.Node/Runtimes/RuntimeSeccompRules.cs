using Berth.Node.Engines;
using Berth.Node.Linux;

namespace Berth.Node.Runtimes;

/// <summary>
/// <see cref="SeccompRules"/> in the words of the OCI runtime specification (config-linux.md, "Seccomp"), for runtimes
/// that filter themselves. Calls that the runtime's libseccomp has no name for are refused.
/// </summary>
internal static class RuntimeSeccompRules
{
    private const string Allow = "SCMP_ACT_ALLOW";
    private const string Refuse = "SCMP_ACT_ERRNO";
    private const string MaskedEqual = "SCMP_CMP_MASKED_EQ";

    public static RuntimeSeccomp All { get; } = new(
        Refuse, Errno.PermissionRefused, ["SCMP_ARCH_X86_64"],
        [
            new(SeccompRules.Allowed, Allow),
            new(["clone"], Allow, [new(0, SeccompRules.NamespaceFlags, 0, MaskedEqual)]),
            // Its flags lie in memory, where no filter can look. ENOSYS makes libraries use clone.
            new(["clone3"], Refuse, ErrnoRet: Errno.NoSuchCall),
            .. SeccompRules.AllowedPersonalities.Select(p => new RuntimeSystemCalls(
                ["personality"], Allow, [new(0, p, 0, "SCMP_CMP_EQ")])),
            .. SeccompRules.AllowedFamilies.Select(f => new RuntimeSystemCalls(
                ["socket"], Allow, [new(0, uint.MaxValue, f, MaskedEqual)])),
        ]);
}
