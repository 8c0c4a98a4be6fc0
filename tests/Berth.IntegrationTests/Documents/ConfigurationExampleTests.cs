using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.RegularExpressions;
using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Documents;

/// <summary>Files for other programs that the documents show: those programs take them.</summary>
public sealed partial class ConfigurationExampleTests : IDisposable
{
    private const string Installing = "docs/operations/installing.md";
    private const string Running = "docs/guide/running-a-server.md";

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("berth-examples-");

    public void Dispose() => folder.Delete(recursive: true);

    [Theory]
    [InlineData(Installing, 2)]
    [InlineData(Running, 1)]
    [InlineData("docs/cluster.md", 1)]
    public async Task Systemd_takes_the_units(string page, int units)
    {
        string[] shown = [.. Units(page)];

        Assert.Equal(units, shown.Length);
        foreach (string unit in shown)
        {
            ToolResult verified = await VerifyAsync(unit);
            // Of an option that it does not know it only complains.
            Assert.True(
                verified is { ExitCode: 0, Error: "", Output: [] }, $"{page}: {verified.Error}{verified.Text}\n{unit}");
        }
    }

    [Fact]
    public async Task A_unit_with_an_option_that_there_is_not_would_be_noticed()
    {
        ToolResult verified = await VerifyAsync(
            Units(Installing).First().Replace("Delegate=", "Delegation=", StringComparison.Ordinal));

        Assert.Contains("Delegation", verified.Error + verified.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nftables_takes_the_rules()
    {
        string[] tables =
        [
            .. Blocks("docs/operations/firewalls.md").Where(b => b.StartsWith("table ", StringComparison.Ordinal)),
        ];

        Assert.NotEmpty(tables);
        foreach (string rules in tables)
        {
            (await Tool.RunAsync("nft", ["-c", "-f", Write("rules.nft", rules)])).Succeed();
            ToolResult broken = await Tool.RunAsync(
                "nft", ["-c", "-f", Write("broken.nft", rules.Replace("accept", "acept", StringComparison.Ordinal))]);
            Assert.NotEqual(0, broken.ExitCode);
        }
    }

    [Fact]
    public async Task Haproxy_takes_the_settings_for_one_server_and_for_several()
    {
        string one = Blocks(Running).Single(b => b.StartsWith("defaults", StringComparison.Ordinal));
        string several = Blocks(Installing).Single(b => b.StartsWith("backend berth", StringComparison.Ordinal));
        string both = one[..(one.IndexOf("\nbackend berth", StringComparison.Ordinal) + 1)] + several;
        WriteCertificate();

        foreach (string settings in (string[])[one, both])
        {
            (await Tool.RunAsync("haproxy", ["-c", "-f", Write("haproxy.cfg", Here(settings))])).Succeed();
            string wrong = Here(settings).Replace("  server ", "  sever ", StringComparison.Ordinal);
            ToolResult broken = await Tool.RunAsync("haproxy", ["-c", "-f", Write("broken.cfg", wrong)]);
            Assert.NotEqual(0, broken.ExitCode);
        }
    }

    private static IEnumerable<string> Blocks(string page) => Fence()
        .Matches(File.ReadAllText(Path.Combine(RepositoryFolder.Path, page))).Select(m => m.Groups["text"].Value);

    /// <summary>Shown as they are, or written by a command.</summary>
    private static IEnumerable<string> Units(string page) => Blocks(page).SelectMany(
        block => block.StartsWith("[Unit]", StringComparison.Ordinal)
            ? [block]
            : Written().Matches(block).Select(m => m.Groups["text"].Value));

    private Task<ToolResult> VerifyAsync(string unit) => Tool.RunAsync(
        "systemd-analyze",
        [
            "verify",
            Write(
                "berth-example.service",
                unit.Replace("/usr/local/bin/berth", ServerProcess.Executable, StringComparison.Ordinal)),
        ]);

    private string Here(string settings) =>
        settings.Replace("/etc/haproxy", folder.FullName, StringComparison.Ordinal);

    private string Write(string name, string text)
    {
        string file = Path.Combine(folder.FullName, name);
        File.WriteAllText(file, text);
        return file;
    }

    private void WriteCertificate()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=berth.example.org", key, HashAlgorithmName.SHA256);
        using X509Certificate2 certificate = request.CreateSelfSigned(
            DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(100));
        Write("berth.pem", certificate.ExportCertificatePem() + "\n" + key.ExportPkcs8PrivateKeyPem() + "\n");
        Write("berth-ca.pem", certificate.ExportCertificatePem() + "\n");
    }

    [GeneratedRegex("^```[^\n]*\n(?<text>.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Fence();

    [GeneratedRegex(
        "^cat > /etc/systemd/system/[^\n]*<<'(?<end>\\w+)'\n(?<text>.*?)^\\k<end>$",
        RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Written();
}
