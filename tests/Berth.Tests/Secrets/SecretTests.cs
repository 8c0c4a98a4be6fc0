using System.Net;
using System.Text;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Api.Nodes;
using Berth.Api.Runs;
using Berth.Api.Secrets;
using Berth.Core.Errors;
using Berth.Core.Secrets;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Secrets;

/// <summary>Secrets over HTTP and in functions, with a node in memory.</summary>
public sealed class SecretTests : IAsyncLifetime
{
    private const string Value = "hunter2-very-secret";

    private readonly TemporaryFolder folder = new();
    private ServerRig rig = null!;
    private BerthClient client = null!;

    public async ValueTask InitializeAsync()
    {
        rig = await ServerRig.StartAsync(folder: folder);
        client = new BerthClient(rig.Address, rig.AdminToken, TimeProvider.System);
    }

    public async ValueTask DisposeAsync()
    {
        client.Dispose();
        await rig.DisposeAsync();
        folder.Dispose();
    }

    [Fact]
    public async Task A_value_goes_in_and_only_what_is_known_about_it_comes_out()
    {
        SecretView made = await PutAsync("db", Value);
        SecretView again = await PutAsync("db", Value + "!", replace: true);
        IReadOnlyList<SecretView> all = await client.Secrets.ListAsync(CancellationToken.None);
        BerthException taken = await Assert.ThrowsAsync<BerthException>(() => PutAsync("db", "other"));

        Assert.Equal(("db", 1, Value.Length, "admin"), (made.Name, made.Version, made.Bytes, made.Caller));
        Assert.Equal((2, made.CreatedAt), (again.Version, again.CreatedAt));
        Assert.Equal(again.ToString(), Assert.Single(all).ToString());
        Assert.Equal(ErrorCode.Conflict, taken.Code);
        Assert.Contains("--replace", taken.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a%2Fb", 1, HttpStatusCode.BadRequest)]
    [InlineData(".hidden", 1, HttpStatusCode.BadRequest)]
    [InlineData("empty", 0, HttpStatusCode.BadRequest)]
    [InlineData("most", SecretUse.MaxBytes, HttpStatusCode.Created)]
    [InlineData("more", SecretUse.MaxBytes + 1, HttpStatusCode.RequestEntityTooLarge)]
    public async Task Names_and_lengths_have_limits(string name, int length, HttpStatusCode expected)
    {
        using HttpResponseMessage answer = await rig.Client.PutAsync(
            $"/v1/secrets/{name}", new ByteArrayContent(new byte[length]));

        Assert.Equal(expected, answer.StatusCode);
    }

    [Fact]
    public async Task A_program_gets_variables_and_files_as_they_are_when_it_starts()
    {
        await PutAsync("db", Value);
        await PutAsync("key", "k1");
        await DeployAsync("env", ["db:env=DB_PASSWORD"]);
        await DeployAsync("cat", ["key:/run/secrets/tls.key", "db"]);

        string before = await CallAsync("env");
        await CallAsync("cat");
        await PutAsync("db", "newer", replace: true);
        string after = await CallAsync("env");
        AttemptSpec[] started = [.. rig.Node.Started];

        Assert.Contains($"DB_PASSWORD={Value}\n", before, StringComparison.Ordinal);
        Assert.Contains("DB_PASSWORD=newer\n", after, StringComparison.Ordinal);
        SandboxMount.Files files = Assert.IsType<SandboxMount.Files>(Assert.Single(started[1].Extras!.Mounts));
        Assert.Equal((SecretUse.Folder, true), (files.Target, files.ReadOnly));
        Assert.Equal(
            [("tls.key", "k1"), ("db", Value)],
            files.Content.Select(f => (f.Name, Encoding.UTF8.GetString(f.Content.Span))));
        Assert.Null(started[0].Extras);
        // What stands ready has no files, and no other call may share what has them.
        Assert.Equal("env", started[0].Sandbox.Family);
        Assert.Null(started[1].Sandbox.Family);
        Assert.DoesNotContain(rig.Node.Expected, s => s.Family is null);
        Assert.Equal("strict", (await client.Functions.GetAsync("cat", CancellationToken.None)).Isolation);
        Assert.Equal("single-use", (await client.Functions.GetAsync("env", CancellationToken.None)).Isolation);
    }

    [Fact]
    public async Task A_task_gets_them_too_and_nothing_that_is_kept_or_told_has_a_value()
    {
        await PutAsync("db", Value);
        await DeployAsync("fails", ["db:env=DB_PASSWORD", "db"], ["sh", "-c", "exit 3"]);
        await DeployAsync("env", ["db:env=DB_PASSWORD"]);
        using (HttpResponseMessage answer = await rig.Client.PostAsync("/v1/functions/fails", null))
        {
            Assert.DoesNotContain(Value, await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }

        RunView task = await client.Functions.SubmitAsync(
            "fails", new RunOptions(), new MemoryStream("in"u8.ToArray()), CancellationToken.None);
        RunView ended = await client.Runs.WaitAsync(task.Id, TimeSpan.FromSeconds(20), CancellationToken.None);
        List<string> told = [];
        foreach (string route in (string[])[
            "runs", $"runs/{task.Id}", $"runs/{task.Id}/why", $"runs/{task.Id}/events", "dead-letters", "functions",
            "functions/fails", "revisions/fails", "revisions/fails/1", "secrets", "secrets/db"])
        {
            told.Add(await rig.Client.GetStringAsync("/v1/" + route));
        }

        told.Add(await rig.Client.GetStringAsync("/metrics"));
        await rig.Server.DisposeAsync();

        Assert.Equal("failed", ended.State);
        Assert.All(told, text => Assert.DoesNotContain(Value, text, StringComparison.Ordinal));
        foreach (string file in Directory.EnumerateFiles(folder.Path, "*", SearchOption.AllDirectories))
        {
            string content = Encoding.Latin1.GetString(await File.ReadAllBytesAsync(
                file, TestContext.Current.CancellationToken));
            Assert.False(content.Contains(Value, StringComparison.Ordinal), $"{file} has the value.");
        }
    }

    [Fact]
    public async Task A_function_that_names_no_secret_or_one_wrongly_is_refused_by_name_and_remedy()
    {
        await PutAsync("db", "a\0b");
        await PutAsync("big", new string('x', SecretUse.MaxBytes));
        (string[] Secrets, string Says)[] wrong =
        [
            (["nothing"], "berth secret create nothing"),
            (["db:/etc/passwd"], "/run/secrets/FILE"),
            (["db", "db:/run/secrets/db"], "another secret has that place"),
            (["db:env=A", "big:env=A"], "another secret has that place"),
            (["big:env=OWN"], "environment has OWN"),
            (["db:env=TEXT"], "as a file"),
            ([.. Enumerable.Range(0, 9).Select(i => $"big:/run/secrets/f{i}")], "512 KiB"),
        ];
        foreach ((string[] secrets, string says) in wrong)
        {
            BerthException refusal = await Assert.ThrowsAsync<BerthException>(
                () => DeployAsync("shop", secrets, environment: new() { ["OWN"] = "1" }));

            Assert.Equal(ErrorCode.InvalidRequest, refusal.Code);
            Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
        }

        BerthException asked = await Assert.ThrowsAsync<BerthException>(() => client.Functions.DeployAsync(
            "shop", new FunctionRequest(ServerRig.Image, Isolation: "single-use", Secrets: ["big"]),
            CancellationToken.None));
        Assert.Contains("a container for each call", asked.Message, StringComparison.Ordinal);
        Assert.Empty(await client.Functions.ListAsync(CancellationToken.None));
    }

    [Fact]
    public async Task One_that_is_used_stays_unless_forced_and_then_its_programs_say_what_is_missing()
    {
        await PutAsync("db", Value);
        await DeployAsync("env", ["db:env=DB_PASSWORD"]);
        SecretView used = await client.Secrets.GetAsync("db", CancellationToken.None);

        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => client.Secrets.RemoveAsync("db", force: false, CancellationToken.None));
        await client.Secrets.RemoveAsync("db", force: true, CancellationToken.None);
        using HttpResponseMessage answer = await rig.Client.PostAsync("/v1/functions/env", null);
        string told = await answer.Content.ReadAsStringAsync();
        await PutAsync("db", "again");

        Assert.Equal(["function env"], used.Users);
        Assert.Equal(ErrorCode.Conflict, refused.Code);
        Assert.Contains("function env", refused.Message, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
        Assert.Contains("berth secret create db", told, StringComparison.Ordinal);
        Assert.Contains("DB_PASSWORD=again\n", await CallAsync("env"), StringComparison.Ordinal);
        Assert.Equal(
            ErrorCode.NotFound,
            (await Assert.ThrowsAsync<BerthException>(
                () => client.Secrets.RemoveAsync("none", force: true, CancellationToken.None))).Code);
    }

    [Fact]
    public async Task They_outlast_the_server_and_a_new_key_seals_them_anew()
    {
        await PutAsync("db", Value);
        await DeployAsync("env", ["db:env=DB_PASSWORD"]);
        await rig.Server.DisposeAsync();
        File.AppendAllText(folder["secrets.key"], "2 " + new string('b', 64) + "\n");
        await using (ServerRig second = await ServerRig.StartAsync(folder: folder))
        {
            Assert.Equal(2, Assert.Single(second.Server.Rooms.Secrets.All).Key);
        }

        File.WriteAllText(folder["secrets.key"], "2 " + new string('b', 64) + "\n");
        await using ServerRig third = await ServerRig.StartAsync(folder: folder);
        using HttpResponseMessage answer = await third.Client.PostAsync("/v1/functions/env", null);

        Assert.Contains(
            $"DB_PASSWORD={Value}\n", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    private Task<SecretView> PutAsync(string name, string value, bool replace = false) =>
        client.Secrets.PutAsync(name, Encoding.UTF8.GetBytes(value), replace, CancellationToken.None);

    private Task<FunctionDeployment> DeployAsync(
        string name, string[] secrets, string[]? command = null, Dictionary<string, string>? environment = null) =>
        client.Functions.DeployAsync(
            name,
            new FunctionRequest(
                ServerRig.Image, command ?? [name == "shop" ? "cat" : name], Environment: environment,
                Secrets: secrets),
            CancellationToken.None);

    private async Task<string> CallAsync(string name)
    {
        using HttpResponseMessage answer = await rig.Client.PostAsync("/v1/functions/" + name, null);
        return await answer.Content.ReadAsStringAsync();
    }
}
