using System.Text.RegularExpressions;
using Berth.Api.Nodes;
using Berth.Core.Resources;
using Berth.IntegrationTests.Nodes;
using Xunit;

namespace Berth.IntegrationTests.Containment;

/// <summary>
/// Programs that want more than their share get an error or an end of their own, and the next run is served as if
/// nothing had been. That nothing is left on the machine is asked when the node is gone.
/// </summary>
[Collection("containers")]
public sealed class ResourceAttackTests(NodeFixture node, AttackProgram program)
    : ResourceAttackContract(program, node), IClassFixture<AttackProgram>;

/// <summary>The same within one container for all runs.</summary>
[Collection("containers")]
public sealed class InnerResourceAttackTests(NodeFixture node, InnerAttackProgram program)
    : ResourceAttackContract(program, node), IClassFixture<InnerAttackProgram>;

public abstract class ResourceAttackContract(AttackProgram program, NodeFixture node)
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan DeadlineOfEndless = TimeSpan.FromSeconds(1.5);

    public static TheoryData<string> Names => [.. ResourceAttack.All.Select(a => a.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Is_held(string name)
    {
        ResourceAttack attack = ResourceAttack.All.Single(a => a.Name == name);

        RunOutcome run = await ShellAsync(
            attack.Script, attack.Ends.Contains(Core.Runs.EndReason.TimedOut) ? DeadlineOfEndless : Deadline);
        RunOutcome next = await ShellAsync("echo next", Deadline);

        string text = run.Output + run.Error;
        Assert.True(attack.Ends.Contains(run.Report.Reason), $"{run.Report}\n{Start(text)}");
        Assert.True(attack.Shows is null || Regex.IsMatch(text, attack.Shows), $"{run.Report}\n{Start(text)}");
        Assert.Equal("next\n", next.Output);
    }

    [Fact]
    public async Task A_program_of_many_processes_gets_no_more_processor_time_than_its_share()
    {
        SandboxSpec spec = program.Sandbox with
        {
            Limits = NodeFixture.Limits with { Cpu = CpuQuota.FromMillicores(250) },
        };

        RunOutcome run = await node.Node.RunAsync(
            SandboxRuns.Spec(spec, "sh", "-c", "for i in 1 2 3 4 5 6; do while :; do :; done & done; wait")
                .Within(TimeSpan.FromSeconds(2)));

        TimeSpan used = run.Report.Usage.CpuUser + run.Report.Usage.CpuSystem;
        // The kernel hands out slices of a period; a machine of many processors may hand out one too many on each.
        Assert.True(used < run.Report.RunTime * 0.25 * 2, $"{used} of {run.Report.RunTime}");
    }

    private static string Start(string text) => text[..Math.Min(text.Length, 2000)];

    private Task<RunOutcome> ShellAsync(string script, TimeSpan deadline) => node.Node.RunAsync(
        SandboxRuns.Spec(program.Sandbox, "sh", "-c", script).Within(deadline));
}
