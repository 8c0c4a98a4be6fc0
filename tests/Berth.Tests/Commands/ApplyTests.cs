using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Commands;

/// <summary><c>berth apply</c> and <c>berth diff</c> against a server with a node in memory.</summary>
public sealed class ApplyTests : IAsyncLifetime
{
    private readonly TemporaryFolder folder = new();
    private ServerRig rig = null!;
    private BerthClient client = null!;

    private static CancellationToken Soon => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        rig = await ServerRig.StartAsync();
        client = new BerthClient(rig.Address, rig.AdminToken, TimeProvider.System);
    }

    public async ValueTask DisposeAsync()
    {
        client.Dispose();
        await rig.DisposeAsync();
        folder.Dispose();
    }

    [Fact]
    public async Task A_file_is_applied_once_and_what_it_says_no_more_is_removed_when_asked_for()
    {
        await client.Functions.DeployAsync("other", new FunctionRequest(ServerRig.Image), Soon);
        string both = $"project: p\nfunctions:\n  a: {{image: {ServerRig.Image}}}\n"
            + $"  b: {{image: {ServerRig.Image}}}\n";

        await ExpectAsync(1, "would be new", both, "diff");
        await ExpectAsync(0, "a: revision 1, all to 1", both, "apply");
        await ExpectAsync(0, "a: unchanged", both, "apply");
        await ExpectAsync(0, "", both, "diff");
        string one = $"project: p\nfunctions:\n  a: {{image: {ServerRig.Image}, resources: {{memory: 64Mi}}}}\n";
        await ExpectAsync(1, "  + memory: 64Mi", one, "diff");
        await ExpectAsync(1, "b: would be removed", one, "diff", "--prune");
        await ExpectAsync(0, "a: revision 2, all to 2", one, "apply");
        await ExpectAsync(0, "b: removed", one, "apply", "--prune");

        Assert.Equal(["a", "other"], (await client.Functions.ListAsync(Soon)).Select(f => f.Name));
    }

    [Fact]
    public async Task What_the_server_refuses_is_told_with_its_place_and_nothing_is_changed()
    {
        string wrong = $"functions:\n  a: {{image: {ServerRig.Image}}}\n"
            + $"  b: {{image: {ServerRig.Image}, timeout: x}}\n";

        await ExpectAsync(64, ":3:", wrong, "apply");
        await ExpectAsync(2, "function 'b': timeout = 'x' can't be used", wrong, "diff");
        await ExpectAsync(64, "--prune removes what belongs to a project", wrong, "apply", "--prune");
        await ExpectAsync(2, "is no setting of function 'a'", "name: a\nxyzzy: 1", "diff");
        Assert.Empty(await client.Functions.ListAsync(Soon));
    }

    /// <param name="words">Among what is told; nothing for nothing at all.</param>
    private async Task ExpectAsync(int exitCode, string words, string text, string command, params string[] options)
    {
        await File.WriteAllTextAsync(folder["berth.yaml"], text, Soon);
        using CommandHarness harness = new() { Handler = null };
        harness.Variables["BERTH_HOST"] = rig.Address.ToString();
        harness.Variables["BERTH_TOKEN"] = rig.AdminToken;

        int ended = await harness.RunAsync([command, "-f", folder["berth.yaml"], .. options]);

        string told = harness.Output + harness.Error;
        Assert.True(
            ended == exitCode
                && (words.Length == 0 ? told.Length == 0 : told.Contains(words, StringComparison.Ordinal)),
            $"{exitCode} and '{words}' were expected of {command}, but it was {ended} and: {told}");
    }
}
