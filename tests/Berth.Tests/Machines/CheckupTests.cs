using Berth.Cli.Machines;
using Berth.Server.Store.Sqlite;
using Xunit;

namespace Berth.Tests.Machines;

public sealed class CheckupTests
{
    private static readonly MachineFacts Good = new(
        IsLinux: true, IsRoot: true, Kernel: new Version(
            6, 1, 0), RuncVersion: "1.3.6", MissingLibraries: [], CgroupVersion: 2,
        CgroupControllers: ["cpu", "memory", "pids"], UserNamespaces: 1000, HasOverlay: true, HasSeccomp: true,
        DataFolder: "/var/lib/berth", FreeBytes: 50L << 30, Port: 7070, PortIsFree: true, ServerAnswers: false);

    [Fact]
    public void A_good_machine_has_nothing_to_do() =>
        Assert.All(Checkup.Judge(Good), f => Assert.Equal(FindingState.Ok, f.State));

    [Theory]
    [InlineData("1.1.5+ds1", FindingState.Warning)]
    [InlineData("1.2.7", FindingState.Warning)]
    [InlineData("1.2.9", FindingState.Warning)]
    [InlineData("1.3.5", FindingState.Warning)]
    [InlineData("1.3.6", FindingState.Ok)]
    [InlineData("1.4.2", FindingState.Warning)]
    [InlineData("1.4.3", FindingState.Ok)]
    [InlineData("1.5.1-rc1", FindingState.Ok)]
    [InlineData(null, FindingState.Missing)]
    public void Runc_is_judged_by_the_fixes_it_holds(string? version, object expected)
    {
        Finding finding = Checkup.Judge(Good with { RuncVersion = version }).Single(f => f.Name == "runc");

        Assert.Equal(expected, finding.State);
        Assert.Equal(finding.State == FindingState.Ok, finding.Remedy is null);
    }

    [Fact]
    public void Whatever_is_missing_has_a_remedy()
    {
        MachineFacts bad = new(
            IsLinux: true, IsRoot: false, Kernel: new Version(4, 19), RuncVersion: null,
            MissingLibraries: [
                .. MachineFacts.RequiredLibraries.Keys], CgroupVersion: 1, CgroupControllers: [], UserNamespaces: 0,
            HasOverlay: false, HasSeccomp: false, DataFolder: "/data", FreeBytes: 1000, Port: 7070, PortIsFree: false,
            ServerAnswers: false);

        IReadOnlyList<Finding> findings = Checkup.Judge(bad);

        Assert.All(findings, f => Assert.NotEqual(FindingState.Ok, f.State));
        Assert.All(findings, f => Assert.False(string.IsNullOrEmpty(f.Remedy), f.Name));
    }

    [Fact]
    public void A_damaged_store_is_named()
    {
        Finding finding = Checkup.Judge(Good with
        {
            Store = new StoreInspection(7, false, true, TimeSpan.Zero, "/data/berth.db: page 7 is not right"),
        }).Single(f => f.Name == "store");

        Assert.Equal(FindingState.Missing, finding.State);
        Assert.Contains("page 7", finding.Detail, StringComparison.Ordinal);
        Assert.Contains("berth restore", finding.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void A_server_that_answers_is_why_the_port_is_taken()
    {
        Finding finding = Checkup.Judge(
            Good with { PortIsFree = false, ServerAnswers = true }).Single(f => f.Name == "port");

        Assert.Equal(FindingState.Ok, finding.State);
    }
}
