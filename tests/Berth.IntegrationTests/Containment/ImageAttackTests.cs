using System.Security.Cryptography;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Runs;
using Berth.IntegrationTests.Nodes;
using Berth.Oci.Images;
using Xunit;

namespace Berth.IntegrationTests.Containment;

/// <summary>
/// Images made to trick whoever prepares and starts them. Layers are folders here, as an unpacker without rules of its
/// own would have left them: what the unpacker refuses is tried elsewhere.
/// </summary>
[Collection("containers")]
public sealed class ImageAttackTests(NodeFixture node)
{
    private static readonly string Secret = "machine-secret-" + Guid.CreateVersion7().ToString("N");

    private static int images;

    public static TheoryData<string> Names => [.. ImageAttack.All.Select(a => a.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Is_held(string name)
    {
        ImageAttack attack = ImageAttack.All.Single(a => a.Name == name);
        string secret = Path.Combine(node.Images.PathOfLayer("tools"), "..", "secret");
        await File.WriteAllTextAsync(secret, Secret);
        string before = Fingerprint(secret);
        Digest image = node.Images.AddOnTop(
            $"attack-{Interlocked.Increment(ref images)}", layer => attack.Fill(layer, Path.GetFullPath(secret)),
            attack.Change);

        string outcome = await OutcomeAsync(image, attack);
        RunOutcome next = await node.Node.RunAsync(SandboxRuns.Spec(node.Plain, "echo", "next"));

        Assert.Matches(attack.Comes, outcome);
        Assert.DoesNotContain(Secret, outcome, StringComparison.Ordinal);
        Assert.Equal(before, Fingerprint(secret));
        Assert.Equal("next\n", next.Output);
    }

    /// <summary>What is run as root of the machine, and a file that an image may point to.</summary>
    private string Fingerprint(string secret) => string.Join(
        ' ',
        new[] { "/usr/sbin/runc", secret, "/etc/hosts", "/etc/passwd" }
            .Concat(Directory.GetFiles($"{node.Options.RuntimeFolder}/{node.Options.Instance}", "berth-init-*"))
            .Where(File.Exists).Select(f => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(f)))));

    private async Task<string> OutcomeAsync(Digest image, ImageAttack attack)
    {
        try
        {
            RunOutcome run = await node.Node.RunAsync(
                SandboxRuns.Spec(node.Of(image), attack.Command) with
                {
                    User = attack.User,
                    WorkingDirectory = attack.WorkingDirectory,
                    Command = attack.Command.Length == 0 ? null : attack.Command,
                });
            return run.Report.Reason == EndReason.Completed
                ? run.Output
                : $"{run.Report.Reason} {run.Report.Detail} {run.Error}";
        }
        catch (BerthException error)
        {
            return $"{error.Code} {error.Message}";
        }
    }
}
