using System.Globalization;

namespace Berth.IntegrationTests.Faults;

/// <summary>Sizes of tests: small in CI, as large as one likes by a variable.</summary>
internal static class Amount
{
    public static int Of(string variable, int usual) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out int asked)
            ? asked : usual;
}
