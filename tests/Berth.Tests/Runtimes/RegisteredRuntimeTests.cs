using Berth.Api.Nodes;
using Xunit;

namespace Berth.Tests.Runtimes;

public sealed class RegisteredRuntimeTests
{
    [Fact]
    public void A_setting_names_a_runtime_its_path_and_its_arguments()
    {
        RegisteredRuntime runtime =
            RegisteredRuntime.Parse("runsc=/usr/bin/runsc --platform=ptrace  --ignore-cgroups")!;

        Assert.Equal(("runsc", "/usr/bin/runsc"), (runtime.Name, runtime.Path));
        Assert.Equal(["--platform=ptrace", "--ignore-cgroups"], runtime.Arguments);
        Assert.True(runtime.IgnoresCgroups);
    }

    [Theory]
    [InlineData("crun=/usr/bin/crun")]
    [InlineData("runsc=/usr/bin/runsc --ignore-cgroups=false")]
    public void A_runtime_makes_its_control_groups_unless_it_is_told_not_to(string setting) =>
        Assert.False(RegisteredRuntime.Parse(setting)!.IgnoresCgroups);

    [Theory]
    [InlineData("")]
    [InlineData("runsc")]
    [InlineData("runsc=")]
    [InlineData("runsc=runsc")]
    [InlineData("runsc=/")]
    [InlineData("=/usr/bin/runsc")]
    [InlineData("Runsc=/usr/bin/runsc")]
    [InlineData("-x=/usr/bin/runsc")]
    [InlineData("runc=/usr/bin/crun")]
    [InlineData("a12345678901234567890123456789012=/usr/bin/crun")]
    public void What_is_no_name_and_absolute_path_is_refused(string setting) =>
        Assert.Null(RegisteredRuntime.Parse(setting));
}
