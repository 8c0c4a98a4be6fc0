using Berth.Api.Nodes;

namespace Berth.IntegrationTests.Nodes;

/// <summary>Runtimes that tests register, as an operator would write them.</summary>
internal static class FurtherRuntimes
{
    /// <summary>What gVisor needs where there is neither KVM nor a control group that it may make.</summary>
    public const string RunscSetting = "runsc=/usr/bin/runsc --platform=ptrace --ignore-cgroups --network=none";

    public const string RuncSetting = "other-runc=/usr/sbin/runc";

    public static RegisteredRuntime Runsc => RegisteredRuntime.Parse(RunscSetting)!;

    public static RegisteredRuntime Runc => RegisteredRuntime.Parse(RuncSetting)!;
}
