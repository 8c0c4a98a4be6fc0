using System.Security.Cryptography;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Seeds of tests that choose their moments: another one every time, told with a failure, and
/// given again by BERTH_TEST_SEED.</summary>
internal static class Seed
{
    public static int Choose()
    {
        int seed = int.TryParse(Environment.GetEnvironmentVariable("BERTH_TEST_SEED"), out int given)
            ? given : RandomNumberGenerator.GetInt32(1_000_000);
        TestContext.Current.TestOutputHelper?.WriteLine($"BERTH_TEST_SEED={seed}");
        return seed;
    }
}
