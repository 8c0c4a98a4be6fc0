using Berth.Commands.Contexts;
using Berth.Core.Errors;
using Berth.Tests.Commands;
using Xunit;

namespace Berth.Tests.Contexts;

public sealed class ServerTargetTests
{
    [Theory]
    [InlineData("berth.example.org", "http://berth.example.org:7070/")]
    [InlineData("127.0.0.1:9000", "http://127.0.0.1:9000/")]
    [InlineData("http://berth.example.org:80", "http://berth.example.org/")]
    [InlineData("https://berth.example.org", "https://berth.example.org/")]
    [InlineData("[::1]:7071", "http://[::1]:7071/")]
    public void Addresses_are_completed(string text, string expected) =>
        Assert.Equal(expected, ServerTarget.ParseAddress(text, "a test").AbsoluteUri);

    [Theory]
    [InlineData("ftp://berth.example.org")]
    [InlineData("http://")]
    [InlineData("two words")]
    public void What_is_no_address_is_refused_with_its_source(string text)
    {
        BerthException e = Assert.Throws<BerthException>(() => ServerTarget.ParseAddress(text, "BERTH_HOST"));

        Assert.Equal(ErrorCode.InvalidRequest, e.Code);
        Assert.Contains("BERTH_HOST", e.Message);
    }

    [Fact]
    public async Task Contexts_are_listed_switched_and_removed_without_showing_tokens()
    {
        using CommandHarness harness = new();
        ContextFile file = new(Path.Combine(harness.Home, ".config/berth/config.json"));
        ContextDocument document = ContextDocument.Empty with { Current = "one" };
        document.Contexts["one"] = new ServerContext("http://one.example.org:7070", "secret-1");
        document.Contexts["two"] = new ServerContext("http://two.example.org:7070", "secret-2");
        file.Write(document);

        int used = await harness.RunAsync("context use two");
        int removed = await harness.RunAsync("context rm one");
        int unknown = await harness.RunAsync("context use three");
        await harness.RunAsync("context ls");

        Assert.Equal((0, 0, 66), (used, removed, unknown));
        Assert.Equal("IN USE   NAME   SERVER\n*        two    http://two.example.org:7070\n", harness.Output);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file.Path));
    }

    [Fact]
    public async Task A_contexts_token_never_goes_to_another_server()
    {
        using CommandHarness harness = new(
            ("GET /v1/version", """{"version":"1","runtime":"","operatingSystem":"","architecture":""}"""));
        harness.Variables.Remove("BERTH_TOKEN");
        ContextDocument document = ContextDocument.Empty with { Current = "one" };
        document.Contexts["one"] = new ServerContext("http://one.example.org:7070", "secret-1");
        new ContextFile(Path.Combine(harness.Home, ".config/berth/config.json")).Write(document);

        await harness.RunAsync("version --verbose --host two.example.org");
        await harness.RunAsync("version --verbose");

        Assert.Contains("Server http://two.example.org:7070/ (from --host), token from nowhere.", harness.Error);
        Assert.Contains(
            "Server http://one.example.org:7070/ (from the context 'one'), token from the context.", harness.Error);
    }

    [Fact]
    public async Task A_broken_settings_file_is_named()
    {
        using CommandHarness harness = new();
        string path = Path.Combine(harness.Home, ".config/berth/config.json");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        await File.WriteAllTextAsync(path, "{", TestContext.Current.CancellationToken);

        int exitCode = await harness.RunAsync("context ls");

        Assert.Equal(78, exitCode);
        Assert.Contains(path, harness.Error);
    }
}
