#!/bin/sh
# Publishes a project for a build that embeds its executable: OUTPUT/NAME is there whole at any moment.
#   eng/publish-apart.sh PROJECT NAME OUTPUT
# In a process of its own: no global property of the build that asks for it (runtime, single file, output) may reach it.
# The lock is for two builds of one tree at once; the rename, for one that reads the file meanwhile.
set -eu
project=$1
name=$2
output=$3
mkdir -p "$output"
exec 9>"$output/lock"
flock 9
unset MSBuildSDKsPath MSBUILD_EXE_PATH MSBuildExtensionsPath MSBuildLoadMicrosoftTargetsReadOnly
# Without the lock: what the build leaves running for the next one must not keep it.
dotnet publish "$project" -c Release -o "$output/publish" --nologo -v quiet 9>&-
cp "$output/publish/$name" "$output/$name.new"
mv -f "$output/$name.new" "$output/$name"
# Newer than all that it is made of, also where nothing had to be made.
touch "$output/$name"
