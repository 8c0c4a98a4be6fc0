using Berth.Api.Nodes;
using Berth.Core.Images;
using Berth.IntegrationTests.Nodes;
using Berth.Testing.Programs;
using Xunit;

namespace Berth.IntegrationTests.Containment;

/// <summary>
/// The program of attacks.c in an image, run once as root of the sandbox and once as a plain user, with what each
/// attack came to.
/// </summary>
public class AttackProgram(NodeFixture node) : IAsyncLifetime
{
    private static int images;

    /// <summary>Outcome by the attack's name, for root and for user 1000.</summary>
    public IReadOnlyDictionary<string, string> AsRoot { get; private set; } = new Dictionary<string, string>();

    public IReadOnlyDictionary<string, string> AsUser { get; private set; } = new Dictionary<string, string>();

    /// <summary>Null for a container for each run.</summary>
    protected virtual string? Family => null;

    /// <summary>Null for sandboxes that have one run.</summary>
    protected virtual int? Reuse => null;

    /// <summary>The shape that attacks run in.</summary>
    internal SandboxSpec Sandbox => node.Of(Image) with { Family = Family, Reuse = Reuse };

    /// <summary>The image with the program at /attacks and busybox's commands.</summary>
    public Digest Image { get; private set; }

    private static string Source => Path.Combine(
        Documents.RepositoryFolder.Path, "tests/Berth.IntegrationTests/Containment/attacks.c");

    public async ValueTask InitializeAsync()
    {
        Image = node.Images.AddOnTop(
            $"attacks-{Interlocked.Increment(ref images)}", layer => StaticProgram.Compile(Source, layer + "/attacks"));
        AsRoot = await RunAsync(null);
        AsUser = await RunAsync("1000:1000");
    }

    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }

    private async Task<Dictionary<string, string>> RunAsync(string? user)
    {
        RunOutcome run = await node.Node.RunAsync(
            SandboxRuns.Spec(Sandbox, "/attacks") with { User = user });
        Assert.True(run.Report.ExitCode == 0, $"{run.Report}\n{run.Output}\n{run.Error}");
        return run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split('\t'))
            .ToDictionary(fields => fields[0], fields => fields[1]);
    }
}

/// <summary>The same within one container for all runs.</summary>
public sealed class InnerAttackProgram(NodeFixture node) : AttackProgram(node)
{
    protected override string? Family => "attacks";
}

/// <summary>The same in one sandbox for run after run.</summary>
public sealed class ReusedAttackProgram(NodeFixture node) : AttackProgram(node)
{
    protected override string? Family => "reused-attacks";

    protected override int? Reuse => 1;
}
