using System.Text.Json;
using Berth.Testing.Content;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// <c>berth doctor --security</c> on this very machine: what it says is compared with what the machine's own files and
/// tools say.
/// </summary>
public sealed class DoctorTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task What_this_machine_can_not_enforce_is_named_with_what_to_do()
    {
        ToolResult review = await DoctorAsync([], "-o", "json");

        Assert.Equal((0, ""), (review.ExitCode, review.Error));
        Dictionary<string, JsonElement> findings = JsonDocument.Parse(review.Text).RootElement.EnumerateArray()
            .ToDictionary(f => f.GetProperty("name").GetString()!);
        string[] weak = [.. findings.Where(f => StateOf(f.Value) != "ok").Select(f => f.Key)];
        Assert.All(weak, name => Assert.NotEmpty(findings[name].GetProperty("remedy").GetString()!));
        // Judged here once more, by other means.
        string mounts = await OutputAsync("cat /proc/self/mountinfo");
        Expect("cgroups", mounts.Contains(" - cgroup ", StringComparison.Ordinal));
        Expect("core dumps", (await OutputAsync("cat /proc/sys/kernel/core_pattern")).StartsWith('|'));
        Expect("open files", await OutputAsync("ulimit -Hn") is var most && most != "unlimited"
            && long.Parse(most) < 65_536);
        Expect("userfaultfd", await OutputAsync("cat /proc/sys/vm/unprivileged_userfaultfd") == "1");
        Expect("processor", await OutputAsync("cat /sys/devices/system/cpu/vulnerabilities/* | grep -c ^Vuln || :")
            is not "0");
        Expect("volumes", true);
        Assert.Contains(folder.Path, DetailOf("volumes"), StringComparison.Ordinal);
        string runc = (await OutputAsync("runc --version | head -n 1")).Split(' ')[^1];
        Assert.Contains(runc, DetailOf("runc"), StringComparison.Ordinal);
        Assert.Equal(
            StateOf(findings["runc"]) == "warning", DetailOf("runc").Contains("CVE-", StringComparison.Ordinal));

        ToolResult shown = await DoctorAsync([]);
        Assert.Equal(0, shown.ExitCode);
        Assert.Equal(findings.Count + 1, shown.Text.TrimEnd('\n').Split('\n').Length);
        Assert.All(weak, name => Assert.Contains($"  {name}: ", shown.Error, StringComparison.Ordinal));

        void Expect(string name, bool isWeak) => Assert.Equal(
            (name, isWeak ? "warning" : "ok"), (name, StateOf(findings[name])));

        string DetailOf(string name) => findings[name].GetProperty("detail").GetString()!;
    }

    [Fact]
    public async Task A_machine_that_can_make_no_sandbox_is_told_by_the_exit_code()
    {
        ToolResult review = await DoctorAsync(new() { ["PATH"] = folder.Path }, "-o", "json");

        Assert.Equal(69, review.ExitCode);
        JsonElement runc = JsonDocument.Parse(review.Text).RootElement.EnumerateArray()
            .Single(f => f.GetProperty("name").GetString() == "runc");
        Assert.Equal("missing", StateOf(runc));
        Assert.Equal("apt-get install runc", runc.GetProperty("remedy").GetString());
    }

    private static string StateOf(JsonElement finding) => finding.GetProperty("state").GetString()!;

    private static async Task<string> OutputAsync(string script) =>
        (await Tool.RunAsync("bash", ["-c", script])).Succeed();

    private async Task<ToolResult> DoctorAsync(Dictionary<string, string> variables, params string[] options)
    {
        Assert.SkipUnless(File.Exists(ServerProcess.Executable), $"{ServerProcess.Executable} is missing.");
        variables["HOME"] = folder.Path;
        variables["NO_COLOR"] = "1";
        return await Tool.RunAsync(
            ServerProcess.Executable, ["doctor", "--security", "--data", folder.Path, .. options], [], variables);
    }
}
